"""The console's web side: REST, live channels, pictures, pages."""
