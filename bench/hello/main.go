// Command hello is the least that a Go program can do: the floor under the
// start of any other.
package main

import "fmt"

func main() { fmt.Println("hello") }
