"""This node's routes: wanted by sources, chosen in the RIB, carried to the kernel."""
