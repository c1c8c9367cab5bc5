"""One module (or folder) per thing managed on a host: facts, operations and deploys."""
