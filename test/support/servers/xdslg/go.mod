module isthmus.dev/test/servers/xdslg

go 1.26.0

require (
	golang.org/x/net v0.49.0
	google.golang.org/protobuf v1.36.10
)

require golang.org/x/text v0.33.0 // indirect
