"""Functions over a Session, one file per noun. The only importer of SQLAlchemy."""
