module isthmus.dev/test/servers/lg

go 1.26.0
