"""The main paths: image2mot, skel2mot and smpl2mot."""
