"""A trial is a reveal of potential outcomes: screening, gate, allocation, visits and dropout decide what is seen."""
