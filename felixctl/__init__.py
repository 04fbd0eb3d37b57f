"""The command line. A noun with much to it is a package (`resources`, `ipam`, `node`), a small one a module.

`felixctl.__main__` imports the module of a command when it is called for, so each command pays for its own imports.
"""
