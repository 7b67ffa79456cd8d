"""Many recipes into one folder, on any machine: nothing lost, nothing painted twice.

with closing(Local()) as place:                    # punks.batch.places.local; on_ray, cog and replicate have others
    tally = run(jobs_of(recipes), folder, place)   # punks.batch.run, punks.batch.jobs
for entry in entries(folder): ...                  # punks.batch.manifest
"""
