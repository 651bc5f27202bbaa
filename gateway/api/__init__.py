"""The doors: HTTP in, HTTP out, one file each."""
