"""The physical line's stand-in: tags, film, stacks, cells and faults behind an OPC-UA server and a spool of frames."""
