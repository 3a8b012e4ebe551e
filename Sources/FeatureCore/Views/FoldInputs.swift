/// What a view's aggregates read of an event, as bytes: folded later, they do what the event would have done. They are
/// few, whatever the event holds, and neither the event nor the view's program is needed again.
///
/// A bit for each register that the aggregates read (a filter: it is true; a value: it is not null), then the values in
/// their order: 8 bytes each, texts behind their length in 4.
struct FoldInputs {
  private enum Kind: UInt8 {
    case filter, word, text, kept
  }

  private struct Slot {
    var register: RegisterIndex
    var kind: Kind
  }

  private let slots: UnsafeMutableBufferPointer<Slot>
  private let maskBytes: Int
  /// Bytes without those of texts.
  private let fixedBytesMax: Int

  /// The inputs of a layout's accumulators. `deallocate` ends it.
  init(_ layout: StateLayout) {
    let accumulators = layout.columns.map(\.accumulator)
    var kinds: [RegisterIndex: Kind] = [:]
    for accumulator in accumulators {
      if let value = accumulator.value { kinds[value] = accumulator.isText ? .text : .word }
    }
    // A value that is a filter too keeps its bits, which say whether it is true.
    for filter in accumulators.compactMap(\.filter) { kinds[filter] = kinds[filter] ?? .filter }
    let sorted = kinds.sorted { $0.key < $1.key }.map { Slot(register: $0.key, kind: $0.value) }
    // Behind the values, whose nulls they tell apart.
    let kept = Set(accumulators.filter(\.takesNull).compactMap(\.value)).sorted()
    let all = sorted + kept.map { Slot(register: $0, kind: .kept) }
    slots = .allocate(capacity: all.count)
    _ = slots.initialize(from: all)
    maskBytes = (all.count + 7) / 8
    fixedBytesMax = maskBytes + sorted.count { $0.kind != .filter } * 8
  }

  func deallocate() { slots.deallocate() }

  /// Bytes that `write` needs at most for what the registers hold.
  @inline(__always)
  func bytesMax(_ registers: UnsafePointer<Scalar>) -> Int {
    var bytes = fixedBytesMax
    for slot in slots where slot.kind == .text { bytes += Int(registers[Int(slot.register)].length) }
    return bytes
  }

  /// Writes the inputs; returns how many bytes they take.
  @inline(__always)
  func write(_ registers: UnsafePointer<Scalar>, to bytes: UnsafeMutableRawPointer) -> Int {
    for index in 0..<maskBytes { bytes.storeBytes(of: 0, toByteOffset: index, as: UInt8.self) }
    var end = maskBytes
    for index in 0..<slots.count {
      let slot = slots[index]
      let scalar = registers[Int(slot.register)]
      switch slot.kind {
      case .filter:
        guard scalar.isTrue else { continue }
      case .kept:
        guard scalar.isKept else { continue }
      case .word:
        guard scalar.isValue else { continue }
        bytes.storeBytes(of: scalar.bits, toByteOffset: end, as: UInt64.self)
        end += 8
      case .text:
        guard scalar.isValue else { continue }
        bytes.storeBytes(of: scalar.length, toByteOffset: end, as: UInt32.self)
        UnsafeMutableRawBufferPointer(start: bytes + end + 4, count: Int(scalar.length))
          .copyMemory(from: scalar.text)
        end += 4 + Int(scalar.length)
      }
      let byte = bytes.load(fromByteOffset: index >> 3, as: UInt8.self)
      bytes.storeBytes(of: byte | 1 << UInt8(index & 7), toByteOffset: index >> 3, as: UInt8.self)
    }
    return end
  }

  /// Reads what `write` has written; texts point into the bytes.
  @inline(__always)
  func read(_ bytes: UnsafeRawBufferPointer, into registers: UnsafeMutablePointer<Scalar>) {
    var end = maskBytes
    for index in 0..<slots.count {
      let slot = slots[index]
      let isSet = bytes[index >> 3] & 1 << UInt8(index & 7) != 0
      switch slot.kind {
      case .filter: registers[Int(slot.register)] = .bool(isSet)
      case .kept: if isSet { registers[Int(slot.register)] = .kept }
      case _ where !isSet: registers[Int(slot.register)] = .null
      case .word:
        registers[Int(slot.register)] = Scalar(
          bits: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
        end += 8
      case .text:
        let length = Int(bytes.loadUnaligned(fromByteOffset: end, as: UInt32.self))
        registers[Int(slot.register)] = .text(
          UnsafeRawBufferPointer(rebasing: bytes[(end + 4)..<(end + 4 + length)]))
        end += 4 + length
      }
    }
  }
}
