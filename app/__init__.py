"""Quarterdeck: see, understand, act on and verify a fleet of microservices. Imports nothing."""
