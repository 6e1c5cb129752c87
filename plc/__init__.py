"""OPC-UA sessions: tags and part records in, our own results out."""
