import COpenSSL
import Glibc

/// OpenSSL's way to a socket. Not its own: that one's `write` raises SIGPIPE when the server is gone.
enum SocketBIO {
  /// Made once and never freed. It only holds functions.
  nonisolated(unsafe) private static let method: OpaquePointer? = {
    let kind = BIO_get_new_index() | Int32(BIO_TYPE_DESCRIPTOR) | Int32(BIO_TYPE_SOURCE_SINK)
    guard let method = BIO_meth_new(kind, "socket without SIGPIPE") else { return nil }
    BIO_meth_set_write(method) { bio, bytes, count in
      plumb_bio_clear_retry(bio)
      while true {
        let sent = send(SocketBIO.descriptor(bio), bytes, Int(count), Int32(MSG_NOSIGNAL))
        if sent >= 0 { return Int32(sent) }
        if errno == EAGAIN { plumb_bio_retry_write(bio) }
        if errno != EINTR { return -1 }
      }
    }
    BIO_meth_set_read(method) { bio, bytes, count in
      plumb_bio_clear_retry(bio)
      while true {
        let got = recv(SocketBIO.descriptor(bio), bytes, Int(count), 0)
        if got >= 0 {
          // So that the end is not taken for the error of an earlier call.
          errno = 0
          return Int32(got)
        }
        if errno == EAGAIN { plumb_bio_retry_read(bio) }
        if errno != EINTR { return -1 }
      }
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in plumb_bio_is_flush(command) == 1 ? 1 : 0 }
    return method
  }()

  /// Lets a connection read from and write to a socket.
  static func attach(_ descriptor: Int32, to ssl: OpaquePointer) throws(TLSError) {
    guard let method, let bio = BIO_new(method) else { throw TLSError("out of memory") }
    BIO_set_data(bio, UnsafeMutableRawPointer(bitPattern: Int(descriptor)))
    BIO_set_init(bio, 1)
    SSL_set_bio(ssl, bio, bio)
  }

  private static func descriptor(_ bio: OpaquePointer?) -> Int32 {
    Int32(truncatingIfNeeded: Int(bitPattern: BIO_get_data(bio)))
  }
}
