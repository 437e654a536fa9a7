"""THE FORMATS: events as systems for security events read them (OCSF, CEF, CADF, syslog)."""
