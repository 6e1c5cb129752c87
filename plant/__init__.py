"""The physical line's stand-in: tags, film, stacks, cells and faults behind a real OPC-UA server and a spool of frames."""
