"""What everybody shares about addresses: networks as packed bytes, sets of them, address families. Pure."""
