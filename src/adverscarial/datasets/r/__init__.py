"""Files of R, read without R: nothing in them is run."""
