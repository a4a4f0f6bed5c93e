// Package capstan is the plugin's side of the contract: generated from it, made anew by each build.
package capstan

import (
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"
)

// Pair is a tuple of two.
type Pair[A, B any] struct {
	First  A
	Second B
}

// Error makes a Failure an error; hooks answer one to choose the reason, any other error is an InternalError.
func (f *Failure) Error() string { return f.Reason + ": " + f.Message }

// Deny refuses in an admission hook: the API answers 403 with the message.
func Deny(format string, args ...any) error {
	return &Failure{Reason: "Forbidden", Code: 403, Message: fmt.Sprintf(format, args...)}
}

func failureOf(err error) Failure {
	var failure *Failure
	if errors.As(err, &failure) {
		return *failure
	}
	return Failure{Reason: "InternalError", Code: 500, Message: err.Error()}
}

// A hook's panic is its failure, and the log says where it was.
func guarded[T any](hook func() (T, error)) (value T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			LogWrite(LevelError, fmt.Sprintf("%v\n%s", cause, debug.Stack()))
			err = fmt.Errorf("%v", cause)
		}
	}()
	return hook()
}

// A hook that cannot fail ends the instance, and the log says why.
func logPanic() {
	if cause := recover(); cause != nil {
		LogWrite(LevelError, fmt.Sprintf("%v\n%s", cause, debug.Stack()))
		panic(cause)
	}
}

// The host's functions may be called only between the reading of a hook's arguments and the making of its answer, and not while a call of them
// brings its own answer: what the runtime asks of its system is answered by them.
//
//go:wasmimport wasi_snapshot_preview1 capstan_inside
func setInside(inside uint32) uint32

// What the host holds addresses of: a call's arguments until they are read, its answer until the next call.
var held [][]uint64

func alloc(size uint32) unsafe.Pointer {
	block := make([]uint64, size/8+1)
	held = append(held, block)
	return unsafe.Pointer(&block[0])
}

//go:wasmexport cabi_realloc
func realloc(old, oldSize, alignment, size uint32) uint32 {
	moved := alloc(size)
	if old != 0 {
		copy(unsafe.Slice((*byte)(moved), size), unsafe.Slice((*byte)(pointer(old)), min(oldSize, size)))
	}
	return address(moved)
}

// The arguments were read: the strings and slices made of them hold their memory now.
func beginCall() {
	held = nil
	setInside(1)
}

func endCall() { setInside(0) }

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }
func pointer(p uint32) unsafe.Pointer { return unsafe.Pointer(uintptr(p)) }

func word(p unsafe.Pointer, offset int) uint32 { return *(*uint32)(unsafe.Add(p, offset)) }
func setWords(p unsafe.Pointer, first, second uint32) {
	*(*uint32)(p) = first
	*(*uint32)(unsafe.Add(p, 4)) = second
}

func stringAt(p, length uint32) string {
	if length == 0 {
		return ""
	}
	return unsafe.String((*byte)(pointer(p)), length)
}

func bytesAt(p, length uint32) []byte {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(p)), length)
}

func listAt[T any](p, length, size uint32, load func(unsafe.Pointer) T) []T {
	list := make([]T, length)
	for i := range list {
		list[i] = load(pointer(p + uint32(i)*size))
	}
	return list
}

func loadString(p unsafe.Pointer) string { return stringAt(word(p, 0), word(p, 4)) }
func loadBytes(p unsafe.Pointer) []byte  { return bytesAt(word(p, 0), word(p, 4)) }
func loadList[T any](p unsafe.Pointer, size uint32, load func(unsafe.Pointer) T) []T {
	return listAt(word(p, 0), word(p, 4), size, load)
}

func lowerBytes(v []byte) (uint32, uint32) {
	if len(v) == 0 {
		return 8, 0
	}
	p := alloc(uint32(len(v)))
	copy(unsafe.Slice((*byte)(p), len(v)), v)
	return address(p), uint32(len(v))
}

func lowerString(v string) (uint32, uint32) {
	return lowerBytes(unsafe.Slice(unsafe.StringData(v), len(v)))
}

func lowerList[T any](v []T, size uint32, store func(unsafe.Pointer, T)) (uint32, uint32) {
	if len(v) == 0 {
		return 8, 0
	}
	p := alloc(uint32(len(v)) * size)
	for i, item := range v {
		store(unsafe.Add(p, uint32(i)*size), item)
	}
	return address(p), uint32(len(v))
}

func storeString(p unsafe.Pointer, v string) {
	at, length := lowerString(v)
	setWords(p, at, length)
}

func storeBytes(p unsafe.Pointer, v []byte) {
	at, length := lowerBytes(v)
	setWords(p, at, length)
}

func storeList[T any](p unsafe.Pointer, v []T, size uint32, store func(unsafe.Pointer, T)) {
	at, length := lowerList(v, size, store)
	setWords(p, at, length)
}

func boolOf(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

func storeBool(p unsafe.Pointer, v bool) { *(*uint8)(p) = uint8(boolOf(v)) }
