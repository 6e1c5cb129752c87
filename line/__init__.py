"""The vocabulary every process shares: line model, events, wires, journal, service life. Imports none of ours."""
