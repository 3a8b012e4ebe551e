import Foundation

/// A socket of this machine, as a proxy between two programs has them.
public enum ProxySocket {
  /// Where somebody listens.
  public enum Place: Sendable {
    /// A port of the loopback address; 0 takes a free one.
    case port(Int)
    /// A Unix socket.
    case path(String)
  }

  /// Listens; `port` is the one that was taken.
  public static func listening(at place: Place) throws -> (descriptor: Int32, port: Int) {
    if case .path(let path) = place { unlink(path) }
    return try withAddress(place) { family, address, length in
      let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
      var taken = length
      guard bind(descriptor, address, length) == 0, listen(descriptor, 128) == 0,
        getsockname(descriptor, address, &taken) == 0
      else { throw Failure("cannot listen at \(place): errno \(errno)") }
      guard family == AF_INET else { return (descriptor, 0) }
      let port = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_port }
      return (descriptor, Int(UInt16(bigEndian: port)))
    }
  }

  /// A connection; nil where nobody listens.
  public static func connected(to place: Place) -> Int32? {
    withAddress(place) { family, address, length in
      let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
      if connect(descriptor, address, length) == 0 { return descriptor }
      close(descriptor)
      return nil
    }
  }

  /// Sends all of it; false if the other side takes nothing more.
  public static func sendAll(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard sent > 0 else { return false }
      rest = rest.dropFirst(sent)
    }
    return true
  }

  private static func withAddress<Result>(
    _ place: Place, _ body: (Int32, UnsafeMutablePointer<sockaddr>, socklen_t) throws -> Result
  ) rethrows -> Result {
    func call<Address>(_ family: Int32, _ address: Address) throws -> Result {
      var address = address
      return try withUnsafeMutablePointer(to: &address) {
        try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          try body(family, $0, socklen_t(MemoryLayout<Address>.size))
        }
      }
    }
    switch place {
    case .port(let port):
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      return try call(AF_INET, address)
    case .path(let path):
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
      return try call(AF_UNIX, address)
    }
  }
}
