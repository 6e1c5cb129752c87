"""The line as we believe it to be: state, genealogy, yield, forecasts, historian."""
