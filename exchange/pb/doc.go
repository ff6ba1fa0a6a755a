// Package pb holds the control messages of the exchange protocol as protobuf.
// PROTOCOL.md is their description; exchange is their only user.
package pb

//go:generate protoc -I ../.. --go_out=../.. --go_opt=paths=source_relative exchange/pb/exchange.proto
