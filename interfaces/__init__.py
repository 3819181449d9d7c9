"""How the world reaches Foldline: HTTP, wire formats, the command line, and what wires it up."""
