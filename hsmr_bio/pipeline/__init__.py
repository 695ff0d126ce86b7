"""The pipelines image2mot, skel2mot and smpl2mot."""
