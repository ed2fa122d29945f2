"""Archives in and out: zip and tar as streams with limits, never extracted to a folder."""
