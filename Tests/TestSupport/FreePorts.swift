import Foundation

/// Ports of the loopback address.
public enum FreePorts {
  /// Ports that nobody listens at. All are held until the last is found, so that they differ.
  public static func find(_ count: Int) throws -> [Int32] {
    var descriptors: [Int32] = []
    defer { for descriptor in descriptors { close(descriptor) } }
    return try (0..<count).map { _ in
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      descriptors.append(descriptor)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let code = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
        }
      }
      guard code == 0 else { throw Failure("no free port: errno \(errno)") }
      return Int32(UInt16(bigEndian: address.sin_port))
    }
  }
}
