"""What is not pyinfra: settings, inventories, the command line and its reports."""
