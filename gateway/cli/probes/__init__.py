"""What `gateway check` tries: a module for each thing that the gateway uses, each trying what the gateway will do."""
