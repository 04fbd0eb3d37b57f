"""The command line. A noun with much to it is a package (`resources`, `ipam`, `node`), a small one a module.

`felixctl.direct` calls the commands that are run most; `felixctl.app` imports the module of any other when it is called
for. So each command pays for its own imports.
"""
