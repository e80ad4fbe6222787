package org.sftnative.dist;

import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;

/// A run of one process: it has nobody to wait for.
final class Alone implements World {
    @Override
    public int rank() {
        return 0;
    }

    @Override
    public int size() {
        return 1;
    }

    @Override
    public int localRank() {
        return 0;
    }

    @Override
    public int localSize() {
        return 1;
    }

    @Override
    public String describe() {
        return "";
    }

    @Override
    public void on(Device device) {}

    @Override
    public void sum(Tensor tensor) {}

    @Override
    public void reduceScatter(Tensor flat) {}

    @Override
    public Sending sumFor(int rank, Tensor tensor) {
        return () -> {};
    }

    @Override
    public Sending copyFrom(int rank, Tensor tensor) {
        return () -> {};
    }

    @Override
    public void allGather(Tensor flat) {}

    @Override
    public void broadcast(Tensor tensor) {}

    @Override
    public double[][] exchange(double... mine) {
        return new double[][] {mine};
    }

    @Override
    public String first(String mine) {
        return mine;
    }

    @Override
    public void agree(String what, Map<String, String> values) {}

    @Override
    public Spent spent() {
        return new Spent(0, 0);
    }

    @Override
    public void leave(String name, String word) {}

    @Override
    public Optional<String> left(String name) {
        return Optional.empty();
    }

    @Override
    public boolean failed(String why) {
        return true;
    }

    @Override
    public void close() {}
}
