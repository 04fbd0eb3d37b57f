"""This node: its agent and BGP sessions, what its system lacks, and an archive for support."""
