"""Plans for reading: of other commits, of two trees, of a part."""
