"""What pages, API and sockets share: access control, forgery checks, headers, limits, reading the store."""
