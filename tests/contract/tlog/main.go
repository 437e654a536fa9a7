// Verifies an exported log with golang.org/x/mod/sumdb, the code of Go's checksum database.
// Use: verify FOLDER VKEY. Standard input has a proof on each line: index, then hashes in base64.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tiles reads tiles of height 8 from the folder; C2SP's paths have no height.
type tiles struct{ folder string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, one := range wanted {
		data, err := os.ReadFile(filepath.Join(t.folder, strings.Replace(one.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for begin := int64(0); begin < size; begin += 256 {
		tile := tlog.Tile{H: 8, L: 0, N: begin / 256, W: int(min(256, size-begin))}
		data, err := os.ReadFile(filepath.Join(folder, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)))
		check(err)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func main() {
	folder := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	check(err)
	written, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	check(err)
	opened, err := note.Open(written, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)

	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{folder})
	all := entries(folder, size)
	if int64(len(all)) != size {
		check(fmt.Errorf("%d entries, the checkpoint has %d", len(all), size))
	}
	for index, entry := range all {
		proof, err := tlog.ProveRecord(size, int64(index), reader)
		check(err)
		check(tlog.CheckRecord(proof, size, root, int64(index), tlog.RecordHash(entry)))
	}
	for old := int64(1); old < size; old += 7 {
		before, err := tlog.TreeHash(old, reader)
		check(err)
		proof, err := tlog.ProveTree(size, old, reader)
		check(err)
		check(tlog.CheckTree(proof, size, root, old, before))
	}
	proofs := 0
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); proofs++ {
		words := strings.Fields(scanner.Text())
		index, err := strconv.ParseInt(words[0], 10, 64)
		check(err)
		var proof tlog.RecordProof
		for _, word := range words[1:] {
			raw, err := base64.StdEncoding.DecodeString(word)
			check(err)
			proof = append(proof, *(*tlog.Hash)(raw))
		}
		check(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(all[index])))
	}
	fmt.Printf("%s: %d entries, %d proofs\n", verifier.Name(), size, proofs)
}
