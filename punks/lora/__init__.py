"""LoRA files of kohya-ss/sd-scripts: what they hold, which module of a base is theirs, fused into it and out again."""
