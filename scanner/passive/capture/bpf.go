package capture

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
)

// Cells of the program's memory.
const (
	cellType  = iota // EtherType after the tags
	cellStart        // offset of what follows the EtherType
	cellTags         // first of the VLAN identifiers, noTag where there is none
	maxTags   = 3
	noTag     = 0xffff
)

// wholePacket is the answer of a program that takes a packet: how much of it.
const wholePacket = MaxPacket

// EtherTypes (IEEE 802 numbers).
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100
	etherQinQ = 0x88a8
)

// Program returns the filter as a program of classic BPF for Ethernet frames. With
// offloaded the outermost VLAN tag is not in the frame but beside it, where Linux
// puts it.
func (f *Filter) Program(offloaded bool) ([]bpf.RawInstruction, error) {
	if f.compiled != nil {
		return f.compiled, nil
	}
	a := &assembler{}
	a.prologue(offloaded)
	yes, no := a.label(), a.label()
	a.node(f.root, yes, no)
	a.place(yes)
	a.emit(bpf.RetConstant{Val: wholePacket})
	a.place(no)
	a.emit(bpf.RetConstant{Val: 0})
	return bpf.Assemble(a.resolve())
}

// assembler puts a program together in which jumps go to labels.
type assembler struct {
	code   []bpf.Instruction
	jumps  map[int]int // place of a jump: its label
	places []int       // of labels
}

func (a *assembler) emit(list ...bpf.Instruction) { a.code = append(a.code, list...) }

func (a *assembler) label() int {
	a.places = append(a.places, -1)
	return len(a.places) - 1
}

func (a *assembler) place(label int) { a.places[label] = len(a.code) }

func (a *assembler) jump(label int) {
	if a.jumps == nil {
		a.jumps = make(map[int]int)
	}
	a.jumps[len(a.code)] = label
	a.emit(bpf.Jump{})
}

// equal goes to yes if the accumulator has the value, and goes on otherwise.
// Conditional jumps reach 255 instructions only, so a plain one follows.
func (a *assembler) equal(v uint32, yes int) {
	a.emit(bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1})
	a.jump(yes)
}

// unequal goes to no if the accumulator has another value.
func (a *assembler) unequal(v uint32, no int) {
	a.emit(bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: 1})
	a.jump(no)
}

func (a *assembler) resolve() []bpf.Instruction {
	for at, label := range a.jumps {
		a.code[at] = bpf.Jump{Skip: uint32(a.places[label] - at - 1)}
	}
	return a.code
}

// prologue finds the tags, the type and the begin of what follows.
func (a *assembler) prologue(offloaded bool) {
	a.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: noTag})
	for i := range maxTags {
		a.emit(bpf.StoreScratch{Src: bpf.RegA, N: cellTags + i})
	}
	if offloaded {
		a.emit(
			bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
			bpf.LoadExtension{Num: bpf.ExtVLANTag}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff}, bpf.StoreScratch{Src: bpf.RegA, N: cellTags},
		)
	}
	done := a.label()
	for i, at := 1, uint32(12); ; i, at = i+1, at+4 {
		a.emit(
			bpf.LoadConstant{Dst: bpf.RegA, Val: at + 2}, bpf.StoreScratch{Src: bpf.RegA, N: cellStart},
			bpf.LoadAbsolute{Off: at, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: cellType},
		)
		if i == maxTags {
			break
		}
		tagged := a.label()
		a.equal(etherVLAN, tagged)
		a.equal(etherQinQ, tagged)
		a.jump(done)
		a.place(tagged)
		a.emit(
			bpf.LoadAbsolute{Off: at + 2, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff}, bpf.StoreScratch{Src: bpf.RegA, N: cellTags + i},
		)
	}
	a.place(done)
}

// node goes to yes or to no.
func (a *assembler) node(n node, yes, no int) {
	switch n.op {
	case "not":
		a.node(n.parts[0], no, yes)
	case "and", "or":
		for i, part := range n.parts {
			next := a.label()
			switch {
			case i == len(n.parts)-1:
				a.node(part, yes, no)
			case n.op == "and":
				a.node(part, next, no)
			default:
				a.node(part, yes, next)
			}
			a.place(next)
		}
	case "vlan":
		for i := range maxTags {
			a.emit(bpf.LoadScratch{Dst: bpf.RegA, N: cellTags + i})
			if n.anyValue {
				a.unequal(noTag, yes)
			} else {
				a.equal(uint32(n.vlan), yes)
			}
		}
		a.jump(no)
	case "host", "net":
		a.addresses(n, yes, no)
	case "port":
		a.port(n, yes, no)
	case "tcp":
		a.protocol(6, yes, no)
	case "udp":
		a.protocol(17, yes, no)
	}
}

// start loads the offset of the network header into X, if the type is kind.
func (a *assembler) start(kind uint32, otherwise int) {
	a.emit(bpf.LoadScratch{Dst: bpf.RegA, N: cellType})
	a.unequal(kind, otherwise)
	a.emit(bpf.LoadScratch{Dst: bpf.RegX, N: cellStart})
}

// addresses tests the source and the destination.
func (a *assembler) addresses(n node, yes, no int) {
	kind, offsets := uint32(etherIPv4), []uint32{12, 16}
	if n.prefix.Addr().Is6() {
		kind, offsets = etherIPv6, []uint32{8, 24}
	}
	a.start(kind, no)
	addr := n.prefix.Addr().AsSlice()
	for _, at := range offsets {
		other := a.label()
		for i, bits := 0, n.prefix.Bits(); bits > 0; i, bits = i+4, bits-32 {
			mask := ^uint32(0)
			if bits < 32 {
				mask <<= 32 - bits
			}
			a.emit(bpf.LoadIndirect{Off: at + uint32(i), Size: 4}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
			a.unequal(binary.BigEndian.Uint32(addr[i:])&mask, other)
		}
		a.jump(yes)
		a.place(other)
	}
	a.jump(no)
}

// protocol tests the protocol of IPv4 and the next header of IPv6.
func (a *assembler) protocol(v uint32, yes, no int) {
	six := a.label()
	a.start(etherIPv4, six)
	a.emit(bpf.LoadIndirect{Off: 9, Size: 1})
	a.equal(v, yes)
	a.jump(no)
	a.place(six)
	a.start(etherIPv6, no)
	a.emit(bpf.LoadIndirect{Off: 6, Size: 1})
	a.equal(v, yes)
	a.jump(no)
}

// port tests the ports of TCP and UDP. X is moved to the transport header.
func (a *assembler) port(n node, yes, no int) {
	six, four, ports := a.label(), a.label(), a.label()
	a.start(etherIPv4, six)
	a.emit(bpf.LoadIndirect{Off: 6, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff}) // fragment offset
	a.unequal(0, no)
	a.emit(bpf.LoadIndirect{Off: 9, Size: 1})
	a.equal(6, four)
	a.unequal(17, no)
	a.place(four)
	a.emit(
		bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{},
	)
	a.jump(ports)
	a.place(six)
	a.start(etherIPv6, no)
	tcp6 := a.label()
	a.emit(bpf.LoadIndirect{Off: 6, Size: 1})
	a.equal(6, tcp6)
	a.unequal(17, no)
	a.place(tcp6)
	a.emit(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 40}, bpf.TAX{})
	a.place(ports)
	a.emit(bpf.LoadIndirect{Off: 0, Size: 2})
	a.equal(uint32(n.port), yes)
	a.emit(bpf.LoadIndirect{Off: 2, Size: 2})
	a.equal(uint32(n.port), yes)
	a.jump(no)
}
