"""Where a batch is painted: this machine, Ray, Cog servers, Replicate."""
