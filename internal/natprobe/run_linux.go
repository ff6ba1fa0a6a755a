package main

import (
	"errors"
	"fmt"
)

func run(args []string) error {
	if len(args) > 0 {
		mode, args := args[0], args[1:]
		switch {
		case mode == "serve" && len(args) == 2:
			return serve(args[0], args[1])
		case mode == "ask" && len(args) == 2:
			fmt.Println(askUDP(args[0], args[1]) + " " + askTCP(args[0], args[1]))
			return nil
		case mode == "delay":
			return delay(args)
		case mode == "files" && len(args) == 2:
			return files(args[0], args[1])
		case mode == "proxy" && len(args) > 0:
			return proxy(args[0], args[1:])
		case mode == "certificate" && len(args) == 3:
			return certificate(args[0], args[1], args[2])
		case mode == "crowd" && len(args) == 2:
			return crowd(args[0], args[1])
		}
	}
	return errors.New("usage: natprobe serve IP IP | ask IP IP | delay FLAGS | files DIR ADDR | proxy ADDR NAME:PORT=ADDR... | certificate NAME CERT KEY | crowd N ADDR")
}
