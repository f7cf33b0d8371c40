"""What `ssr` found out about a photo, for people and machines: figures, one picture, one page, one archive, text."""
