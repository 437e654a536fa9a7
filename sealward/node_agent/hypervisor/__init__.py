"""libvirt: its connection, its domains, calls with a deadline, the files that it writes, the sample fleet."""
