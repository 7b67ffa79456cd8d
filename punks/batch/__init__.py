"""Many recipes into one folder, on any machine: nothing lost, nothing painted twice."""
