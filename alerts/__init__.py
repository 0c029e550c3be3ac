"""The step that tells people: rules, routing, grouping, delivery. Nothing is wired here yet."""
