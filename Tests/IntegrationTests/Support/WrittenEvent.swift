/// An event that a test has written, and what must become of it, known from how it was made.
struct WrittenEvent {
  var key: [UInt8]
  /// nil is a tombstone.
  var value: [UInt8]?
  /// Where its producer puts it; nil: where murmur2 puts its key.
  var partition: Int32?
  /// The copies that are forwarded: the input's name in the store, and the copy's key.
  var forwards: [(input: String, key: [UInt8])] = []
  /// Why it can't be used, and by which view; "" is all of them.
  var refusals: [(reason: String, view: String)] = []

  /// What it is found by in its topic.
  var identity: Identity { Identity(key: key, value: value) }

  struct Identity: Hashable {
    var key: [UInt8]?
    var value: [UInt8]?
  }
}
