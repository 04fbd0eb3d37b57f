"""Questions about the whole cluster, answered from values: why A reaches B or not. Pure, all of it."""
