"""libvirt: the connection, its calls, its folders, and the sample fleet."""
