"""What pages, API and live push share at the edge: access, CSRF, headers, ETags, reading for views."""
