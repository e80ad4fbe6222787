package org.sftnative.io;

/// Hears how a download goes on, from several threads.
public interface HubListener {
    /// Hears nothing.
    HubListener NONE = new HubListener() {
        @Override
        public void planned(int files, long bytes) {}

        @Override
        public void received(long bytes) {}

        @Override
        public void finished(String file, long bytes) {}

        @Override
        public void said(String message) {}
    };

    /// Files that will be fetched, and what is still to come of them; may be called again when more
    /// are known.
    void planned(int files, long bytes);

    /// Bytes that came; negative for those of a file that has to be fetched again from its start.
    void received(long bytes);

    /// A file is there, verified.
    ///
    /// @param bytes its size
    void finished(String file, long bytes);

    /// What a person should know: why something is tried again.
    void said(String message);
}
