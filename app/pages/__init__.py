"""One blueprint per page; fragments are the same partials."""
